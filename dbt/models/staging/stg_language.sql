with source as (

    select * from {{ source('raw', 'language') }}

),

renamed as (

    select
        cast(language_id as integer) as language_id,
        {{ text('name') }} as language_name,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
